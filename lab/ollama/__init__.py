"""A stand-in for the Ollama server: its HTTP API, store and registry protocol. Not Ollama itself."""
