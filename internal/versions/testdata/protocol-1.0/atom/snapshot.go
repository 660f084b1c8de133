package atom

import (
	"maps"
	"time"
)

// snapshot is the Atom that New returns.
type snapshot struct {
	info   Info
	engine Engine
}

func (s *snapshot) ID() string           { return s.info.ID }
func (s *snapshot) Name() string         { return s.info.Name }
func (s *snapshot) Image() string        { return s.info.Image }
func (s *snapshot) Rule() string         { return s.info.Rule }
func (s *snapshot) State() State         { return s.info.State }
func (s *snapshot) Result() Result       { return s.info.Result }
func (s *snapshot) Message() string      { return s.info.Message }
func (s *snapshot) CreatedAt() time.Time { return s.info.CreatedAt }
func (s *snapshot) StartedAt() time.Time { return s.info.StartedAt }
func (s *snapshot) StoppedAt() time.Time { return s.info.StoppedAt }
func (s *snapshot) Engine() Engine       { return s.engine }

func (s *snapshot) Labels() map[string]string { return maps.Clone(s.info.Labels) }

func (s *snapshot) ExitCode() *int {
	if s.info.ExitCode == nil {
		return nil
	}
	code := *s.info.ExitCode
	return &code
}
