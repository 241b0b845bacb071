"""What every implementation of a protocol must do, as tests to inherit."""
