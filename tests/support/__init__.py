"""Helpers of the unit and interoperation tests: peers made by hand, and peers in processes of their own."""
