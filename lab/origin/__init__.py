"""The lab's stand-in for the public download services; its request record is the tests' witness."""
