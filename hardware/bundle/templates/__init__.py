"""What a bundle runs on its device: copied into it file by file; Python 3.9, numpy and one runtime, nothing of ours."""
