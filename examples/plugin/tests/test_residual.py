"""Runs the conformance tests for model plugins."""

from lifecycle.testing import check_model_plugin


def test_residual_keeps_the_contract():
    check_model_plugin("residual", width=8)
