"""The agent's vocabulary: frozen records and enums."""
