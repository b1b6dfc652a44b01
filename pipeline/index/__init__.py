"""The search index: built from a table snapshot, judged, published by a pointer, searched.

`choose` decides what a shard is made of, `build` makes a version, `judge` measures it on held-out queries, `publish`
swaps the pointer, `gallery.Index` searches what is live.
"""
