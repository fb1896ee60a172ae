"""The command ``tssbook``, thin over the library; the extra ``cli``."""
