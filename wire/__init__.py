"""The contract between our programs: messages and paths, importing nothing else of ours."""
