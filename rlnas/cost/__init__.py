"""What a network costs on the chip, from its architecture alone; nothing is built."""
