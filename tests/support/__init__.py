"""What the tests share: a real server, a workflow builder and generated model files."""
