"""The meaning of columns: units, currencies, dates, orders and texts, inferred from the values or declared."""
