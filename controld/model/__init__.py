"""The control daemon's vocabulary: frozen records and enums."""
