"""What is said: chats about what the world shows, in users' wordings and Qwen3-VL's formats."""
