# café
owner = "x"
