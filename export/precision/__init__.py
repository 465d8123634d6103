"""Float16 and INT8 forms of an explained network, and what they change."""
