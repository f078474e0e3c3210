from __future__ import annotations

from hepae.validation.labels import change_label, literal, residual_label, residual_unit, value_label


def test_labels_are_in_the_notation_of_the_field():
    assert value_label("eta") == r"$\eta$"
    assert value_label("phi") == r"$\phi$ [rad]"
    assert value_label("girth") == "girth"
    assert residual_label("pt") == r"$p_\mathrm{T}^\mathrm{restored}$ / $p_\mathrm{T}^\mathrm{original}$ − 1"
    assert residual_label("phi") == r"$\phi^\mathrm{restored}$ − $\phi^\mathrm{original}$ [rad]"
    assert change_label("mass") == "Δ$m$ / $m$"
    assert (residual_unit("mass"), residual_unit("phi"), residual_unit("eta")) == ("", "rad", "")
    assert residual_label("a$b") == r"a\$b, restored − original"
    assert literal("a$^$") == r"a\$^\$"
    assert value_label("_a") == " _a"
