"""Tasks on text: classification and translation, their tokenizers, files and metrics."""
