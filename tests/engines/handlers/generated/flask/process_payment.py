from pillion_actions.protocol import ActionError, Call
from pillion_actions.types import ProcessPaymentArguments, ProcessPaymentResult


class CardError(Exception):
    pass


class PaymentIntent:
    """The payment provider's library."""

    def __init__(self, status: str) -> None:
        self.id = "pi_1"
        self.status = status

    @staticmethod
    def create(payment_method: str) -> "PaymentIntent":
        if payment_method == "pm_declined":
            raise CardError("Your card was declined.")
        if payment_method == "pm_broken":
            raise RuntimeError("the provider is down")
        return PaymentIntent({"pm_3ds": "requires_action", "pm_late": "canceled"}.get(payment_method, "succeeded"))


def process_payment(input: ProcessPaymentArguments, call: Call) -> "ProcessPaymentResult":
    try:
        payment = PaymentIntent.create(input["input"]["payment_method_id"])
    except CardError as error:
        raise ActionError(f"Card error: {error}") from None
    found = {"payment_intent_id": payment.id}
    if payment.status == "succeeded":
        receipt = "https://pay.example.com/receipts/pi_1"
        return {**found, "success": True, "status": "SUCCEEDED", "message": "Payment processed successfully", "receipt_url": receipt}
    if payment.status == "requires_action":
        return {**found, "success": False, "status": "REQUIRES_ACTION", "message": "Additional authentication required"}
    return {**found, "success": False, "status": "FAILED", "message": f"Payment failed: {payment.status}"}
