"""A payment handler as users write it with Flask. The payment provider's library is played by the class below."""

import os

from flask import Flask, jsonify, request

app = Flask(__name__)


class CardError(Exception):
    pass


class PaymentIntent:
    def __init__(self, status):
        self.id = "pi_1"
        self.status = status
        self.client_secret = "only for the client's library"
        self.receipt_url = "https://pay.example.com/receipts/pi_1"

    @staticmethod
    def create(amount, currency, payment_method, customer, description, confirm):
        if payment_method == "pm_declined":
            raise CardError("Your card was declined.")
        if payment_method == "pm_broken":
            raise RuntimeError("the provider is down")
        return PaymentIntent({"pm_3ds": "requires_action", "pm_late": "canceled"}.get(payment_method, "succeeded"))


@app.route("/actions/process-payment", methods=["POST"])
def process_payment():
    try:
        if request.headers.get("X-Hasura-Admin-Secret") != os.getenv("HASURA_GRAPHQL_ADMIN_SECRET"):
            return jsonify({"message": "not from the API"}), 403
        data = request.get_json()
        input_data = data["input"]["input"]
        payment_intent = PaymentIntent.create(
            amount=input_data["amount"],
            currency=input_data["currency"],
            payment_method=input_data["payment_method_id"],
            customer=input_data["customer_id"],
            description=input_data.get("description", ""),
            confirm=True,
        )
        if payment_intent.status == "succeeded":
            return jsonify({
                "success": True,
                "payment_intent_id": payment_intent.id,
                "status": "SUCCEEDED",
                "message": "Payment processed successfully",
                "receipt_url": payment_intent.receipt_url,
            })
        elif payment_intent.status == "requires_action":
            return jsonify({
                "success": False,
                "payment_intent_id": payment_intent.id,
                "status": "REQUIRES_ACTION",
                "message": "Additional authentication required",
                "client_secret": payment_intent.client_secret,
            })
        else:
            return jsonify({
                "success": False,
                "payment_intent_id": payment_intent.id,
                "status": "FAILED",
                "message": f"Payment failed: {payment_intent.status}",
            })
    except CardError as e:
        return jsonify({"success": False, "status": "FAILED", "message": f"Card error: {e}"}), 400
    except Exception:
        return jsonify({"success": False, "status": "FAILED", "message": "Payment processing failed"}), 500


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(os.environ["PORT"]))
