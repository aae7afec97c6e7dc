"""The archive: Parquet files of everything that ever happened, and a manifest that names them."""
