"""Figures and displays of the chapters; nothing else in the library knows them."""

from tssbook.pages import colours, network_pictures, pictures, plots
from tssbook.pages.display import Interactive, source
from tssbook.pages.live import Live

__all__ = ["Interactive", "Live", "colours", "network_pictures", "pictures", "plots", "source"]
