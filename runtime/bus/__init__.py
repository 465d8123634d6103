"""Messages between processes: PUB for viewers, the durable link and the picture ring for the recorder."""
