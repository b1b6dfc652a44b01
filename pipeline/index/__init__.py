"""The search index: built from a table snapshot, judged, published by a pointer, searched.

    choose -> layout, spill -> making -> assess, judge -> build        a version: an immutable folder, manifest last
    publish                                                            the pointer; rollback, list, gc
    gallery.Index, recommend, sheet                                    what readers use
    study, study_report                                                retrieval by shared labels, as curves

`source` says what goes in, `manifest` what a version states of itself; `shards`, `searching` and `device` know FAISS.
"""
