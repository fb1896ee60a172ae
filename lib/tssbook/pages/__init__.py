"""Figures and displays of the chapters; nothing else in the library knows them."""

from tssbook.pages import colours, network_pictures, pictures, plots
from tssbook.pages.display import Interactive, source

__all__ = ["Interactive", "colours", "network_pictures", "pictures", "plots", "source"]
