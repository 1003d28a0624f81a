"""Model libraries whose models can be asked for by name: `transformers:BertConfig?hidden_size=64`. One file each."""
