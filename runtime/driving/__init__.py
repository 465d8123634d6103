"""The driving process: capture, preprocess, inference, decision chain, command, one hand-over per frame; no more."""
