"""The container engine as an adapter: lifecycle through the SDK, lists and streams over the engine's socket."""
