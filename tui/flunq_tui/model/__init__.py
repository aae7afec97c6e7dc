"""What the views show, without a screen: everything here is tested without Textual."""
