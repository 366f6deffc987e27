"""The tools behind the command `pygase`. Nothing of this is imported by `import pygase`."""
