"""How one call is made: taken in, run through its policies, recorded, ended."""
