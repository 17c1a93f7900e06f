"""Moving in from another system, and out of this one (issue 4, point 9; O-50, O-52, N-23, W-16).

`sheet` reads files row by row and trusts nothing in them; `systems` knows what eight systems call their columns;
`plan` decides, purely, what becomes of a row; `landing` does it, a batch a transaction; `bringing` is the whole of it;
`leaving` is the way out.
"""
