"""What the driver says of a GPU while calls are timed on it (NVML, by nvidia-ml-py)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

#: Reasons for a lower clock that are not the port's own doing, by NVML's names. A cap of the power
#: is: the port would meet it wherever it is served on such a GPU. So are clocks that somebody set.
_FAULTS = {
    "HwSlowdown": "the hardware slows it down",
    "HwThermalSlowdown": "it is too hot",
    "SwThermalSlowdown": "it is too hot",
    "HwPowerBrakeSlowdown": "its power supply is throttled",
}
_OTHERS = ("SwPowerCap", "ApplicationsClocksSetting", "SyncBoost", "DisplayClockSetting", "GpuIdle")


@dataclass(frozen=True)
class GpuState:
    """One GPU at one moment. sm_mhz, sm_highest_mhz: clock of its multiprocessors. limits: what
    keeps the clock low.
    """

    name: str
    driver: str
    sm_mhz: int
    sm_highest_mhz: int
    limits: tuple[str, ...]

    @property
    def fault(self) -> str:
        """Why times taken now are not the GPU's own, or an empty string."""
        found = next((_FAULTS[name] for name in self.limits if name in _FAULTS), "")
        return (
            f"{self.name} runs at {self.sm_mhz} of {self.sm_highest_mhz} MHz: {found}"
            if found
            else ""
        )

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "limits": list(self.limits)}


def gpu_state(device: str) -> GpuState | str:
    """The GPU behind one of torch's CUDA devices, now; or why that is not known. Does not
    initialise CUDA.
    """
    import torch

    try:
        import pynvml
    except ImportError:
        return "not known without nvidia-ml-py: pip install 'pytest-modelport[nvml]'"
    try:
        # torch's number to the driver's, by CUDA_VISIBLE_DEVICES. Without an index torch would ask
        # CUDA for the current one.
        handle = torch.cuda._get_pynvml_handler(torch.device(device).index or 0)
        reasons = pynvml.nvmlDeviceGetCurrentClocksEventReasons(handle)
        return GpuState(
            str(pynvml.nvmlDeviceGetName(handle)),
            str(pynvml.nvmlSystemGetDriverVersion()),
            int(pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM)),
            int(pynvml.nvmlDeviceGetMaxClockInfo(handle, pynvml.NVML_CLOCK_SM)),
            tuple(
                name
                for name in (*_FAULTS, *_OTHERS)
                if reasons & getattr(pynvml, f"nvmlClocksEventReason{name}")
            ),
        )
    except (pynvml.NVMLError, RuntimeError) as error:
        return f"not known: {error}"


def watched(device: str) -> str:
    """Why times taken on a device now are not its own; empty where nothing says so."""
    if not device.startswith("cuda"):
        return ""
    now = gpu_state(device)
    return now.fault if isinstance(now, GpuState) else ""
