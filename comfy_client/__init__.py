"""A typed client of a ComfyUI server: graphs as typed Python, saved workflows as graphs, a server process to run them.

For the demo, the benchmarks and the tests. It needs ComfyUI's folder to start a server, never its modules.
"""
