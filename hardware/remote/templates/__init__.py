"""Files that go into profile bundles."""
