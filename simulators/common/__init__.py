"""What simulators share: OpenGL, cameras, textures, the collection of demonstrations."""
