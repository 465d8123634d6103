"""Running cameras: CSI and USB cameras of the board, and network streams, through GStreamer or PyAV."""
