using Microsoft.AspNetCore.Mvc;

namespace ConnectSoft.Reservations.Controllers;

[ApiController]
[Route("reservations")]
public sealed class ReservationsController(IReservations reservations) : ControllerBase
{
    [HttpGet("{id:guid}")]
    public async Task<ActionResult<Reservation>> Get(Guid id, CancellationToken cancellation) =>
        await reservations.FindAsync(id, cancellation) is { } found ? Ok(found) : NotFound();

    [HttpPost("{id:guid}/cancel")]
    public async Task<IActionResult> Cancel(Guid id, CancellationToken cancellation) =>
        await reservations.CancelAsync(id, cancellation) ? NoContent() : NotFound();
}
