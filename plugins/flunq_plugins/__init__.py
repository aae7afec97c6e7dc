"""The executors that come with flunq, written as a stranger would write them."""
