"""The dual price of money: how much quality a dollar must bring now, so that a budget lasts for its window and is used."""
