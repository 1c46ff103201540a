package main

import (
	"context"
	"database/sql"
	"errors"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite" // the driver

	"github.com/kinesiskit/kinesiskit/checkpoint"
	"github.com/kinesiskit/kinesiskit/consumer"
)

// ledger is the database: what is counted, and how far.
type ledger struct {
	db        *sql.DB
	delivered atomic.Int64 // records that were handed over, for the report
}

func openLedger(ctx context.Context) (*ledger, error) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1) // a database in memory belongs to its connection
	l := &ledger{db: db}
	_, err = db.ExecContext(ctx, `
		CREATE TABLE clicks (visitor TEXT PRIMARY KEY, n INTEGER NOT NULL);
		CREATE TABLE counted (shard TEXT PRIMARY KEY, position TEXT NOT NULL)`)
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *ledger) close() { _ = l.db.Close() }

// add counts what has not been counted of a batch, and says how far that is, in one transaction. Of two workers that do so at a time one waits for the other,
// and then finds what that has counted.
func (l *ledger) add(ctx context.Context, b *consumer.Batch) (err error) {
	l.delivered.Add(int64(len(b.Records)))
	tx, err := l.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelSerializable})
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tx.Rollback())
		}
	}()
	counted, err := position(ctx, tx, b.Shard.ID())
	if err != nil {
		return err
	}
	for i := range b.Records {
		r := &b.Records[i]
		if r.Position.Compare(counted) <= 0 {
			continue
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO clicks VALUES (?, 1) ON CONFLICT DO UPDATE SET n = n + 1`, r.PartitionKey); err != nil {
			return err
		}
	}
	if last := b.Records[len(b.Records)-1].Position; last.Compare(counted) > 0 {
		const store = `INSERT INTO counted VALUES (?, ?) ON CONFLICT DO UPDATE SET position = excluded.position`
		if _, err := tx.ExecContext(ctx, store, b.Shard.ID(), last.String()); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// position is how far a shard has been counted; TRIM_HORIZON is before every record.
func position(ctx context.Context, tx *sql.Tx, shard string) (checkpoint.Position, error) {
	var text string
	err := tx.QueryRowContext(ctx, `SELECT position FROM counted WHERE shard = ?`, shard).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return checkpoint.TrimHorizon, nil
	}
	if err != nil {
		return checkpoint.Position{}, err
	}
	return checkpoint.Parse(text)
}

func (l *ledger) totals(ctx context.Context) (clicks, visitors int, err error) {
	err = l.db.QueryRowContext(ctx, `SELECT coalesce(sum(n), 0), count(*) FROM clicks`).Scan(&clicks, &visitors)
	return clicks, visitors, err
}

// wait returns when all clicks are counted, and a moment later, in which a click too many would be.
func (l *ledger) wait(ctx context.Context) error {
	for done := false; ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(failover):
		}
		clicks, _, err := l.totals(ctx)
		if err != nil || done {
			return err
		}
		done = clicks >= count
	}
}
