"""Safe, streaming reading and writing of folders as tar files compressed with zstd."""
