package main

import "context"

func measureDecide(context.Context, int) ([]figure, error) { return nil, nil }
