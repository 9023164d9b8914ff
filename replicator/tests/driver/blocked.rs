//! An origin whose events a database refuses holds up itself and nobody else (F27).

use futures_util::future::join_all;

use crate::stop;
use crate::support::{Door, expect_agreement, replicas, until};

#[tokio::test]
async fn what_others_wrote_does_not_wait_behind_an_origin_that_cannot_be_stored() {
    let replicas = replicas(3, |_| b"key").await;
    for replica in &replicas {
        replica.set_door(Door::Shut);
    }
    let [writer, refuser, holder] = &replicas[..] else {
        unreachable!("three were asked for")
    };
    // More than a batch, and all of it before the others in the log that is pulled.
    join_all((0..1_500).map(|number| async move {
        holder.join(&format!("poison{number}")).await;
    }))
    .await;
    for number in 0..5 {
        writer.join(&format!("user{number}")).await;
    }
    sqlx::raw_sql(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF NEW.replica = 3 THEN
                 RAISE EXCEPTION 'not these' USING ERRCODE = '22000';
             END IF;
             RETURN NEW;
         END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON events
             FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    .execute(refuser.log.pool())
    .await
    .unwrap();

    holder.set_door(Door::Open);

    let wrote = writer.log.origin();
    until("what the writer wrote is at the refuser", || {
        refuser.log.head().vector.get(wrote) == 5
    })
    .await;
    assert_eq!(refuser.log.head().vector.get(holder.log.origin()), 0);
    sqlx::raw_sql("DROP TRIGGER refuse ON events")
        .execute(refuser.log.pool())
        .await
        .unwrap();
    expect_agreement(&replicas, 1_505).await;
    stop(replicas).await;
}
