"""hepae: jets made smaller, with the price measured."""
