"""How good each pool's answer will probably be. A model that `headgate train` fitted, run by numpy alone; pure."""
