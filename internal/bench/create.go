package main

import (
	"context"
	"fmt"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/atom-router/atom-router/atom"
)

// createsPerRound is how many atoms a round makes on each side.
const createsPerRound = 10

// measureCreate compares Create and Wait of a job that ends at once, through
// router and plugin, with create, start and wait by the Docker client.
func measureCreate(ctx context.Context, rounds int) ([]figure, error) {
	d, err := startDocker(ctx)
	if err != nil {
		return nil, err
	}
	defer d.stop()
	r, err := alternate(rounds,
		func() (time.Duration, error) {
			var ids []string
			defer func() {
				for _, id := range ids {
					d.straight.ContainerRemove(ctx, id, container.RemoveOptions{})
				}
			}()
			return medianOf(createsPerRound, func() error {
				id, err := d.runStraight(ctx)
				ids = append(ids, id)
				return err
			})
		},
		func() (time.Duration, error) {
			var ids []string
			defer func() {
				for _, id := range ids {
					d.router.Delete(&atom.EngineDeleteRequest{ID: id, Context: ctx})
				}
			}()
			return medianOf(createsPerRound, func() error {
				a, err := d.router.Create(&atom.EngineCreateRequest{Image: d.image, Context: ctx})
				if err != nil {
					return err
				}
				ids = append(ids, a.ID())
				a, err = d.router.Wait(&atom.EngineWaitRequest{ID: a.ID(), Context: ctx})
				if err == nil && a.Result() != atom.Success {
					err = fmt.Errorf("%s ended as %s", a.ID(), a.Result())
				}
				return err
			})
		})
	if err != nil {
		return nil, err
	}
	return []figure{{
		slug: "ratio", name: "Create and Wait of a job that ends at once / Docker's client used straight", values: r.ratios(), unit: "x", aim: 1.10, atMost: true,
		sides: r, detail: r.against(),
	}}, nil
}

// runStraight does with the Docker client what the router does, with the same
// log driver.
func (d *dockerSide) runStraight(ctx context.Context) (id string, err error) {
	made, err := d.straight.ContainerCreate(ctx, &container.Config{Image: d.image},
		&container.HostConfig{LogConfig: container.LogConfig{Type: "local", Config: map[string]string{"compress": "false"}}}, nil, nil, "")
	if err != nil {
		return "", err
	}
	ended, failed := d.straight.ContainerWait(ctx, made.ID, container.WaitConditionNextExit)
	if err := d.straight.ContainerStart(ctx, made.ID, container.StartOptions{}); err != nil {
		return made.ID, err
	}
	select {
	case end := <-ended:
		if end.StatusCode != 0 {
			return made.ID, fmt.Errorf("container %s ended with %d", made.ID, end.StatusCode)
		}
		return made.ID, nil
	case err := <-failed:
		return made.ID, err
	}
}
