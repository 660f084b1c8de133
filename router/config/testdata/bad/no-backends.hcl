owner = "me"
