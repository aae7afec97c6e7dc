"""Flow control: which task may begin now, and which is held back."""
