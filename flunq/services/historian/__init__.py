"""The historian: brings everything that the journal says into the archive."""
