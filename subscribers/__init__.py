"""The people: who reads what, how they joined, how they leave, and what nobody may find out about them."""
