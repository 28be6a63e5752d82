"""What a firmware needs beside the model: C files, the arena to reserve, test vectors."""
